"""Write the policies of `mizzen demo` (security.yaml) and a visitor's token that they accept (visitor.jwt).

    python3 security.py FOLDER

Workloads speak mutual TLS alone; the details check tokens, and deny a path.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mizzen.demo.security import TokenIssuer, security_yaml

folder = Path(sys.argv[1])
issuer = TokenIssuer()
(folder / "security.yaml").write_text(security_yaml(issuer), encoding="utf-8")
(folder / "visitor.jwt").write_text(issuer.token(), encoding="utf-8")
