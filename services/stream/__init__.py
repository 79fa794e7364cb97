"""The stream: the log's readers, embedded or on Kafka, and what is promised around every handler."""
