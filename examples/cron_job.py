"""Fetch a protected document once, as a cron job does: the token outlives the process in a cache on disk.

Who it is comes from STEELCUT_CLIENT_ID and STEELCUT_CLIENT_SECRET_FILE, whom to ask from STEELCUT_ISSUER.
"""

import os
import sys

from steelcut import ClientError, TokenCache, fetch_json


def main() -> None:
    """Print the title of the document, or one sentence of what went wrong."""
    try:
        document = fetch_json(os.environ["STEELCUT_DOCUMENT_URL"], cache=TokenCache())
    except ClientError as error:
        sys.exit(str(error))
    print(document["about"])


if __name__ == "__main__":
    main()
