"""What a complete copy of each data set holds, who published it, and on which terms it may be used."""

from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.contract.errors import DataError


@dataclass(frozen=True)
class Published:
    """Facts about a data set.

    paper: who to ask for it. counts: how many of what a complete copy holds. note: what else a user must know.
    """

    title: str
    paper: str
    terms: str
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def where(self) -> str:
        """A sentence that says where the data set is to be had."""
        return " ".join(filter(None, [f"{self.title} is to be had from its authors: {self.paper}.", self.note]))


def _cuhk03(title: str, *, train: int, gallery: int) -> Published:
    counts = {
        "training images": train,
        "training identities": 767,
        "query images": 1400,
        "query identities": 700,
        "gallery images": gallery,
    }
    paper = "Li et al., CVPR 2014; new protocol: Zhong et al., CVPR 2017"
    return Published(title, paper, "CUHK03, research use only", counts)


def _msmt17(title: str, *, train: int) -> Published:
    return Published(
        title,
        "Wei et al., CVPR 2018 (on request)",
        "MSMT17, research use only",
        {
            "training images": train,
            "training identities": 1041,
            "query images": 11659,
            "query identities": 3060,
            "gallery images": 82161,
        },
    )


PUBLISHED: dict[str, Published] = {
    "market1501": Published(
        "Market-1501",
        "Zheng et al., ICCV 2015",
        "Market-1501, research use only",
        {
            "training images": 12936,
            "training identities": 751,
            "query images": 3368,
            "query identities": 750,
            "gallery images": 19732,
            "gallery images without junk": 15913,
            "images in gt_bbox": 25259,
        },
    ),
    "cuhk03_labelled": _cuhk03("CUHK03 (new protocol, labelled)", train=7368, gallery=5328),
    "cuhk03_detected": _cuhk03("CUHK03 (new protocol, detected)", train=7365, gallery=5332),
    "cuhk03_np_labelled": _cuhk03("CUHK03-NP (labelled)", train=7368, gallery=5328),
    "cuhk03_np_detected": _cuhk03("CUHK03-NP (detected)", train=7365, gallery=5332),
    "dukemtmcreid": Published(
        "DukeMTMC-reID",
        "Ristani et al., ECCV Workshops 2016, and Zheng et al., ICCV 2017",
        "DukeMTMC-reID, withdrawn by its authors in 2019; research use of existing copies only",
        {
            "training images": 16522,
            "training identities": 702,
            "query images": 2228,
            "query identities": 702,
            "gallery images": 17661,
        },
        note="But they withdrew it in 2019, after it became known that people had been filmed without their consent: "
        "only a copy that exists already can be read.",
    ),
    "msmt17": _msmt17("MSMT17", train=32621),
    "msmt17_train": _msmt17("MSMT17 (training list alone)", train=30248),
    "msmt17_all": Published(
        "MSMT17 (all images)",
        "Wei et al., CVPR 2018 (on request)",
        "MSMT17, research use only",
        {"training images": 126441, "training identities": 4101},
    ),
    "viper": Published(
        "VIPeR",
        "Gray, Brennan and Tao, PETS 2007",
        "VIPeR, no licence stated; research use",
        {"training images": 632, "training identities": 316, "query images": 316, "gallery images": 316},
    ),
    "grid": Published(
        "GRID (QMUL underground re-identification)",
        "Loy, Xiang and Gong, CVPR 2009",
        "GRID, no licence stated; research use",
        {"training images": 250, "training identities": 125, "query images": 125, "gallery images": 900},
    ),
    "pa100k": Published(
        "PA-100K",
        "Liu et al., ICCV 2017",
        "PA-100K, no licence stated; research use",
        {"training images": 80000, "validation images": 10000, "test images": 10000, "attributes": 26},
    ),
    "cifar10": Published(
        "CIFAR-10",
        "Krizhevsky, technical report 2009",
        "CIFAR-10, no licence stated; research use",
        {"training images": 50000, "test images": 10000, "classes": 10},
    ),
    "cifar100": Published(
        "CIFAR-100",
        "Krizhevsky, technical report 2009",
        "CIFAR-100, no licence stated; research use",
        {"training images": 50000, "test images": 10000, "classes": 100},
    ),
    "imagenet": Published(
        "ImageNet (ILSVRC 2012)",
        "Russakovsky et al., IJCV 2015 (on registration)",
        "ImageNet, non-commercial research and education only",
        {"training images": 1281167, "test images": 50000, "classes": 1000},
    ),
}


def inner_folder(folder: Path, *names: str) -> Path:
    """The folder that an archive unpacks to, where the user named the one around it."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def check_counts(name: str, found: dict[str, int], *, where: object) -> None:
    """Compare what was found with what was published; all differences are named at once.

    Raises:
        DataError: a count differs.
    """
    published = PUBLISHED[name]
    faults = [
        f"{count} {what} (found {found[what]})"
        for what, count in published.counts.items()
        if what in found and found[what] != count
    ]
    if faults:
        raise DataError(
            f"{published.title}: expected {', '.join(faults)} in {where}; the copy is incomplete or another version"
        )
