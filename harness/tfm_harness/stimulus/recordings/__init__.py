"""Recordings of other tools as traces: Renode's RESD and Arm's SDS."""
