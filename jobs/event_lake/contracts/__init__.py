"""Contracts: what the events of one name must look like, as JSON Schema, and what analysts get from it.

A folder of files (`contracts.path`), one a contract, named after its event (`files`). `language` says what may stand in
one; `contract_set` goes to the workers with the source and judges events by theirs, and `broken` tells who
they are; `in_force` sees to it that a micro-batch is judged by the same contracts whenever it is replayed. `columns`
reads from a contract which typed columns its events have; `evolution` refuses a change that would break them; `views`
says which view an event type has, and `dialects` writes it as SQL.

Nothing is imported here: what workers need must cost them little, and a job without contracts nothing.
"""
