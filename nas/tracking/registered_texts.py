"""What a registered model says of itself, as plain data: descriptions and tags."""

from collections.abc import Sequence

from search_spaces.units import counted, readable_flops
from trainers.bundle.contents import Bundle
from trainers.bundle.provenance import Provenance

# So many names of classes stand in a description.
MOST_CLASSES = 20


def model_description(bundle: Bundle, classes: Sequence[str]) -> str:
    """Of the registered model, whatever its versions: what it takes and what it answers."""
    more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
    return (
        f"Classifies pictures into {len(classes)} classes: {', '.join(classes[:MOST_CLASSES])}{more}.\n\n"
        "Takes a table with a column `image`, the bytes of a picture's file (base64 in JSON), and answers with "
        "`class`, `probability` and the `probabilities` of all classes. Served by `mlflow models serve -m "
        "models:/NAME@ALIAS --env-manager local`, it is asked by\n\n"
        '    curl http://127.0.0.1:5000/invocations -H "Content-Type: application/json" \\\n'
        '        -d "{\\"dataframe_records\\": [{\\"image\\": \\"$(base64 -w0 PICTURE.jpg)\\"}]}"\n'
    )


def version_description(bundle: Bundle) -> str:
    """Of one version: which network it is and where it comes from."""
    provenance, cost = _provenance(bundle), bundle.data_summary.cost(bundle.architecture)
    return (
        f"{bundle.architecture.label}, {readable_flops(cost.flops)}, {cost.params:,} parameters: trial "
        f"{provenance.trial} of the search {provenance.search}, picked as {provenance.pick}. Validation accuracy "
        f"{provenance.val_accuracy:.2%} after {counted(provenance.epochs, 'epoch')} of the search on "
        f"{bundle.data.name}, whose weights these are."
    )


def version_tags(bundle: Bundle) -> dict[str, str]:
    """What versions are looked for by."""
    provenance, cost = _provenance(bundle), bundle.data_summary.cost(bundle.architecture)
    return {
        "nas.search": provenance.search,
        "nas.search_id": provenance.search_id,
        "nas.trial": str(provenance.trial),
        "nas.pick": provenance.pick,
        "nas.architecture": bundle.architecture.label,
        "nas.architecture_id": bundle.architecture.id,
        "nas.data": bundle.data.name,
        "nas.image_size": str(bundle.data_summary.image_size),
        "nas.val_accuracy": f"{provenance.val_accuracy:.6f}",
        "nas.flops": str(cost.flops),
        "nas.params": str(cost.params),
        "nas.code_revision": provenance.code_revision,
    }


def _provenance(bundle: Bundle) -> Provenance:
    assert isinstance(bundle.provenance, Provenance), "only what a search has trained is registered"
    return bundle.provenance
