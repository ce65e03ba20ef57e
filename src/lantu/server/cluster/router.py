"""Chooses the replica of a call: the one with the most room that can admit it.

A call has a weight (rows of the engine's batch, or codes to render), and a replica a capacity (``replicas.py``). What a
replica has admitted is known twice: this process counts its own calls, and the replica reports all calls, its other
clients' too, with a delay. Calls that no replica can admit wait here, where the next free replica takes them, rather
than in the queue of one.
"""

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica


class AdmissionRouter(RequestRouter):
    """Routes calls by their keyword argument ``weight``."""

    def initialize_state(self, **options: int) -> None:
        """Called by Ray Serve with ``capacity``, the weight of the calls that a replica admits.

        One call alone may exceed it.
        """
        self.capacity = options["capacity"]
        self.admitted: dict[str, tuple[ReplicaID, int]] = {}  # of this process: id of a call → replica, weight

    def load(self, replica: RunningReplica) -> int:
        """Weight of the calls that a replica computes."""
        own = sum(weight for where, weight in self.admitted.values() if where == replica.replica_id)
        return max(own, replica.routing_stats.get("weight", 0))

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The replicas that can admit a call, those with the most room first."""
        weight = 0
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # else Ray Serve asks again without a pause
            weight = pending_request.kwargs.get("weight", 0)
        loads = [(self.load(replica), place, replica) for place, replica in enumerate(candidate_replicas)]
        free = [(load, place, replica) for load, place, replica in loads if not load or load + weight <= self.capacity]
        return [[replica] for _, _, replica in sorted(free, key=lambda each: each[:2])]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: object) -> None:
        """A replica has admitted a call."""
        weight = pending_request.kwargs.get("weight", 0)
        self.admitted[pending_request.metadata.internal_request_id] = replica_id, weight

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """A call has ended, or failed with its replica."""
        self.admitted.pop(internal_request_id, None)
