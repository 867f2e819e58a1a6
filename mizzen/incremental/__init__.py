"""Values that are recomputed when their inputs change: a small incremental engine, pure, without clock or IO.

It knows nothing of Istio or Envoy. A `Database` holds what was computed. Inputs are set in a `Table`, or a
`Lookup` finds them in an immutable source that its owner keeps. A `Query` is a function by key; its reads are
recorded while it runs. `Grouped` and `Union` are collections made of other collections, at the cost of the
members that changed. `Gradual` calls a function for each member of a collection, in parts. What is taken
from salsa, Adapton, krt and differential dataflow, and what is refused:
docs/decisions/0070-one-incremental-engine.md.

    database = Database()
    services = Table[str, int](database, "services")
    doubled = Query(database, "doubled", lambda name: 2 * services[name])
    services["a"] = 1
    doubled("a")          # 2, computed
    doubled("a")          # 2, remembered
    services["a"] = 3
    doubled("a")          # 6
"""

from mizzen.incremental.collection import Collection, Table
from mizzen.incremental.database import CheckError, CycleError, Database, Failure, WriteError
from mizzen.incremental.derived import Grouped, Union
from mizzen.incremental.gradual import Gradual
from mizzen.incremental.lookup import Lookup
from mizzen.incremental.query import Query
from mizzen.incremental.readers import Readers

__all__ = [
    "CheckError",
    "Collection",
    "CycleError",
    "Database",
    "Failure",
    "Gradual",
    "Grouped",
    "Lookup",
    "Query",
    "Readers",
    "Table",
    "Union",
    "WriteError",
]
