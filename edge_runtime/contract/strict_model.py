"""The base of every pydantic model: configuration, manifest and messages."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Immutable. An unknown or missing key, an infinite number and a NaN are errors."""

    # Older versions of pydantic reserve names like `model_id` for themselves, and warn.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
