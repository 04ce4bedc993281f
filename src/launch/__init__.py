"""Starts and watches the ranks of a run on this and other servers: rank tables, processes, peers, ModelArts."""
