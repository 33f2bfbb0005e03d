# pyarrow carries no types, and its compute functions are made when it is imported: everything of it is Any here.
from typing import Any

def __getattr__(name: str) -> Any: ...
