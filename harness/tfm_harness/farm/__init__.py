"""The night: which build runs on which board, what proves the board first, and what is tried again."""
