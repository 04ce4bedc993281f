"""Several devices and several servers: rank tables, starting and watching the ranks, their communication, ModelArts."""
