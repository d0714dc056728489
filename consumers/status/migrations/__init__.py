"""The changes of the view's tables, one after another; Alembic runs them."""
