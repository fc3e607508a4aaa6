"""What can be read without opening a database: files, processes, places."""
