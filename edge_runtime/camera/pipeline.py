"""The GStreamer pipeline that plays an address. Pure text: nothing is opened here."""

from typing import Literal

from edge_runtime.camera.address import Address
from edge_runtime.contract.errors import StreamError

HardwareConverter = Literal["nvvidconv", "nvvideoconvert"]
"""NVIDIA's converter: that of a Jetson, and that of DeepStream on other machines."""


def pipeline_text(address: Address, *, hardware: HardwareConverter | None, paced: bool) -> str:
    """Write the pipeline for `gst_parse_launch`; it ends in an appsink `frames` that gives NV12 or I420.

    That is what decoders deliver, so `videoconvert` passes it on and works only for other formats. Pictures that the
    stream calls rotated or mirrored stay so: a `videoflip` holds two frames even where it turns nothing.

    hardware: put this converter behind the decoder. Where there is one, decodebin takes `nvv4l2decoder`, which ranks
    above the software decoders and leaves its pictures in NVMM memory that only NVIDIA's converters can read. paced:
    play a file at its own speed; live cameras always keep their own time.

    Raises:
        StreamError: the address needs a Jetson, and this is none.
    """
    scheme = address.scheme
    if scheme.needs_jetson and hardware != "nvvidconv":
        raise StreamError(
            f"{address.name} needs nvarguscamerasrc and nvvidconv of a Jetson, and GStreamer has found neither here; "
            f"{scheme.remedy}"
        )
    converter = f"{hardware} ! video/x-raw,format=NV12" if hardware else "videoconvert ! video/x-raw,format={NV12,I420}"
    is_synchronised = paced and not scheme.is_live
    sink = f"appsink name=frames sync={str(is_synchronised).lower()} max-buffers=1 enable-last-sample=false"
    return " ! ".join([scheme.source_text(address), converter, sink])
