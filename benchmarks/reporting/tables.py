"""Every table that is generated into a document. To add one, add its function and its row to a file of tables."""

from benchmarks.reporting.accuracy_tables import ACCURACY_TABLES
from benchmarks.reporting.bridge_tables import BRIDGE_TABLES
from benchmarks.reporting.camera_tables import CAMERA_TABLES
from benchmarks.reporting.data_set_tables import DATA_SET_TABLES
from benchmarks.reporting.gallery_tables import GALLERY_TABLES
from benchmarks.reporting.kernel_tables import KERNEL_TABLES
from benchmarks.reporting.latency_tables import LATENCY_TABLES
from benchmarks.reporting.public_tables import PUBLIC_TABLES
from benchmarks.reporting.system_tables import SYSTEM_TABLES
from benchmarks.reporting.tracking_tables import TRACKING_TABLES
from benchmarks.reporting.training_tables import TRAINING_TABLES

TABLES = (
    *ACCURACY_TABLES,
    *TRAINING_TABLES,
    *DATA_SET_TABLES,
    *SYSTEM_TABLES,
    *CAMERA_TABLES,
    *GALLERY_TABLES,
    *LATENCY_TABLES,
    *KERNEL_TABLES,
    *TRACKING_TABLES,
    *PUBLIC_TABLES,
    *BRIDGE_TABLES,
)
