"""Immutable collections whose next version shares what did not change.

A changed version costs what changes, not what is there: a mapping of 10,000 members with one of them replaced
takes microseconds and some kilobytes. Nothing here knows what the members are.
"""

from mizzen.persistent.chunked_sequence import ChunkedSequence, common_ends
from mizzen.persistent.layered_dict import DictEdit, LayeredDict, Version
from mizzen.persistent.multimap import Multimap, MultimapEdit

__all__ = ["ChunkedSequence", "DictEdit", "LayeredDict", "Multimap", "MultimapEdit", "Version", "common_ends"]
