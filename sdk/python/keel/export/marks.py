"""The order of forward's nodes, layer by layer, for the marks that a pipeline is cut at."""

from .graph import Function, Node


def by_layers(function: Function, num_layers: int) -> list[tuple[int | None, list[Node]]]:
    """Runs of nodes: before the first layer, layer 0, between, layer 1 ..., behind the last. All
    layers come, each once.

    A node that no layer made is where its inputs are there: the last norm behind the last layer,
    tables before the first.
    """
    place: dict[Node, int] = {}  # 2 l + 1: in layer l; 2 l: before it
    for node in function.nodes():
        before = max(
            (place[v.node] for v in node.inputs if v is not None and v.node is not None), default=0
        )
        if node.layer is None:
            place[node] = before + before % 2
        else:
            place[node] = max(2 * node.layer + 1, before)
    runs: list[list[Node]] = [[] for _ in range(2 * num_layers + 1)]
    for node in function.nodes():
        runs[min(place[node], 2 * num_layers)].append(node)
    return [(at // 2 if at % 2 else None, run) for at, run in enumerate(runs)]
