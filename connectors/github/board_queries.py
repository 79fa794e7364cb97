"""What GitHub is asked of a project board: its fields, and its entries page by page. No person, no text of an issue.

API facts: GitHub's GraphQL schema, ``ProjectV2``; without ``archivedStates`` it lists what is not archived.
"""

FIELDS = """
query CourselineBoard($owner: String!, $number: Int!) {
  rateLimit { cost remaining resetAt }
  repositoryOwner(login: $owner) { ... on ProjectV2Owner { projectV2(number: $number) {
    id url
    fields(first: 100) { pageInfo { hasNextPage } nodes {
      ... on ProjectV2FieldCommon { id name dataType }
      ... on ProjectV2SingleSelectField { options { id name } }
      ... on ProjectV2IterationField { configuration {
        iterations { id title startDate duration } completedIterations { id title startDate duration } } }
    } }
  } } }
}"""
#: The entries are given in the order of the board, which somebody may change meanwhile: hence the count.
ENTRIES = """
query CourselineBoardItems($board: ID!, $first: Int!, $after: String) {
  rateLimit { cost remaining resetAt }
  node(id: $board) { ... on ProjectV2 {
    items(first: $first, after: $after, archivedStates: [ARCHIVED, NOT_ARCHIVED]) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes {
        id isArchived updatedAt
        content {
          __typename
          ... on Issue { fullDatabaseId number repository { nameWithOwner } }
          ... on PullRequest { number repository { nameWithOwner } }
        }
        fieldValues(first: 100) { pageInfo { hasNextPage } nodes {
          ... on ProjectV2ItemFieldSingleSelectValue { optionId name updatedAt field { ...Id } }
          ... on ProjectV2ItemFieldNumberValue { number field { ...Id } }
          ... on ProjectV2ItemFieldTextValue { text field { ...Id } }
          ... on ProjectV2ItemFieldDateValue { date field { ...Id } }
          ... on ProjectV2ItemFieldIterationValue { iterationId title field { ...Id } }
        } }
      }
    }
  } }
}
fragment Id on ProjectV2FieldConfiguration { ... on ProjectV2FieldCommon { id } }"""
#: What an older Enterprise Server says of words that it does not know, those words, and what to ask for instead. Its
#: ids are numbers of 32 bits; whether it lists archived entries is up to it.
NEWER = {
    "argumentNotAccepted": (", archivedStates: [ARCHIVED, NOT_ARCHIVED]", ""),
    "undefinedField": ("fullDatabaseId", "databaseId"),
}
