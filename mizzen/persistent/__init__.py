"""Immutable collections that share with their next version all that did not change.

A new version costs what changed, not the size of the collection: to replace one of 10,000 members of a
mapping takes microseconds and some kilobytes. Nothing here knows what the members are.
"""

from mizzen.persistent.chunked_sequence import ChunkedSequence, common_ends
from mizzen.persistent.layered_dict import DictEdit, LayeredDict
from mizzen.persistent.multimap import Multimap, MultimapEdit

__all__ = ["ChunkedSequence", "DictEdit", "LayeredDict", "Multimap", "MultimapEdit", "common_ends"]
