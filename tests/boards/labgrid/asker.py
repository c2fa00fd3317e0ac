"""Asks a coordinator, once a line of standard input: ``asker.py COORDINATOR``, in labgrid's Python.

``create`` makes the place an547-0 with the resources of the farm's board; any other line asks who holds it. Each call
of labgrid-client would import labgrid first, and takes most of its time for that.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def answer(word: str, stub: Any, messages: Any) -> str:
    """What a line is answered with."""
    if word == "create":
        stub.AddPlace(messages.AddPlaceRequest(name="an547-0"))
        stub.AddPlaceMatch(messages.AddPlaceMatchRequest(placename="an547-0", pattern="farm1/board0/*/*"))
        stub.SetPlaceTags(messages.SetPlaceTagsRequest(placename="an547-0", tags={"board": "mps3-an547"}))
        return "made"
    places = stub.GetPlaces(messages.GetPlacesRequest()).places
    (place,) = (place for place in places if place.name == "an547-0")
    return f"held by {place.acquired}" if place.acquired else "free"


def main() -> None:
    grpc: Any = importlib.import_module("grpc")
    messages, stubs = (
        importlib.import_module(f"labgrid.remote.generated.labgrid_coordinator_{name}") for name in ("pb2", "pb2_grpc")
    )
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = stubs.CoordinatorStub(channel)
        for line in sys.stdin:
            try:
                said = answer(line.strip(), stub, messages)
            except grpc.RpcError as error:
                said = f"no answer: {error.code()}"
            sys.stdout.write(said + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
