"""What is seen of databases from outside: their files, and who has them open, locked or watched."""
