"""A FastAPI application that only clients with a token for it can call.

Start it with ``uvicorn --app-dir examples fastapi_app:app --port 8002``.
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from steelcut import Claims, Guard

guard = Guard(
    os.environ.get("STEELCUT_ISSUER", "http://127.0.0.1:8000"),
    audience=os.environ.get("REPORTS_AUDIENCE", "http://127.0.0.1:8002/reports"),
)
Reader = Annotated[Claims, Depends(guard("read"))]
Writer = Annotated[Claims, Depends(guard("write"))]

# The route of the metadata tells clients which issuer's tokens are taken here (RFC 9728).
app = FastAPI(title="Reports", routes=[guard.metadata_route()])


@app.get("/reports")
async def reports(client: Reader) -> dict[str, object]:
    """List the reports, for clients that may read."""
    return {"reports": ["2031-q1", "2031-q2"], "for": client.client_id}


@app.put("/reports/{name}", status_code=204)
def replace(name: str, client: Writer) -> None:
    """Replace a report, for clients that may write; a guarded route may be a plain function too."""
    print(f"{client.client_id} replaced {name}")
