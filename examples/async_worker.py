"""Fetch a document a hundred times at once: one client, one token, however many tasks.

Who it is comes from STEELCUT_CLIENT_ID and STEELCUT_CLIENT_SECRET, whom to ask from STEELCUT_ISSUER.
"""

import asyncio
import os
import sys

import httpx

from steelcut import ClientCredentials, ClientError

FETCHES = 100


async def main() -> None:
    """Print how many documents came, or one sentence of why there is no token."""
    url = os.environ["STEELCUT_DOCUMENT_URL"]
    async with httpx.AsyncClient(auth=ClientCredentials(), timeout=30) as http:
        try:
            answers = await asyncio.gather(*(http.get(url) for _ in range(FETCHES)))
        except ClientError as error:
            sys.exit(str(error))
    print(f"{sum(answer.is_success for answer in answers)} of {FETCHES} documents fetched")


if __name__ == "__main__":
    asyncio.run(main())
