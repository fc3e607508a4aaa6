"""Row by row out of a damaged SQLite file, without the sqlite shell."""

from __future__ import annotations

from holdfast.doctor.salvage.model import Salvaged, TableLedger
from holdfast.doctor.salvage.rescue import Progress, salvage

__all__ = ["Progress", "Salvaged", "TableLedger", "salvage"]
