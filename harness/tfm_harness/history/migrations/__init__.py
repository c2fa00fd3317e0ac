"""The migrations of the store's tables: one module for each step; Alembic runs them when a store is opened."""
