"""Heights at which a network cannot be exported: ONNX has no name for stripes that overlap."""

from edge_runtime.contract.errors import ExportError
from train.models.checkpoint import LoadedNetwork
from train.models.stripes import fault_of_stripes


def check_stripes(source: LoadedNetwork) -> None:
    """Refuse an input height that the network's stripes do not divide.

    Raises:
        ExportError: a map's rows are no multiple of its stripes.
    """
    input_ = source.manifest.input
    fault = fault_of_stripes(source.network, height_px=input_.height_px, width_px=input_.width_px)
    if fault is not None:
        raise ExportError(f"{source.manifest.architecture} cannot be exported: {fault}")
