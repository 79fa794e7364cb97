"""The public events as an AsyncAPI 3 document."""

from typing import Any

from schemas.wire import DEAD_LETTER_SUFFIX, TOPICS, TYPES, json_schemas


def asyncapi(prefix: str = "courseline.") -> dict[str, Any]:
    """AsyncAPI 3.0: a channel a public topic, a message an event type, CloudEvents in structured JSON around it."""
    schemas = json_schemas()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in (one for one in TOPICS if one.public):
        messages = {
            name.replace(".", "_"): {"$ref": f"#/components/messages/{name.replace('.', '_')}"}
            for name, (where, _) in TYPES.items()
            if where == topic
        }
        channels[topic.name] = {
            "address": prefix + topic.name,
            "description": f"Dead letters go to {prefix}{topic.name}{DEAD_LETTER_SUFFIX}.",
            "messages": messages,
            "bindings": {
                "kafka": {
                    "partitions": topic.partitions,
                    "topicConfiguration": {"cleanup.policy": ["compact"] if topic.compacted else ["delete"]},
                }
            },
        }
        operations[f"publish_{topic.name}"] = {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Courseline", "version": "1", "description": "Delivery is at least once."},
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                name.replace(".", "_"): {
                    "name": name,
                    "contentType": "application/cloudevents+json",
                    "payload": _envelope(name, schema),
                }
                for name, schema in schemas.items()
            }
        },
    }


def _envelope(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "subject", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": {"const": name},
            "time": {"type": "string", "format": "date-time"},
            "subject": text,
            "datacontenttype": {"const": "application/json"},
            "data": schema,
        },
    }
