"""Boards: live targets and their kinds."""
