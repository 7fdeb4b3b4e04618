"""What goes to a cluster, and the requests that start it there.

Building, in this order: `modules` collects the pure Python of the zip, `completeness` looks whether anything that it
imports is missing, `wheels` makes our own wheel and fetches what is native, `environment` packs that beside a link to
the cluster's Python, all of it by `archives`, which gives the same bytes for the same contents; `contents` lists it.
`release` names the files in S3, and `upload` brings them there. `emr_serverless`, `emr` and `glue` make the requests,
from `spark_settings`; `calls` shows or sends them.
"""
