"""Where state lives: tables, connections, migrations. SQLite by default, PostgreSQL by URL."""
