#!/bin/sh
# Get a token and fetch a document with curl alone. The secret and the token go in over the standard input,
# where no list of processes shows them.
set -eu
: "${STEELCUT_TOKEN_URL:?}" "${STEELCUT_CLIENT_ID:?}" "${STEELCUT_CLIENT_SECRET:?}" "${STEELCUT_DOCUMENT_URL:?}"

# RFC 6749 §4.4. --fail-with-body: on an error, what the server says is shown and the script ends.
answer=$(
  curl -sS --fail-with-body --config - "$STEELCUT_TOKEN_URL" --data grant_type=client_credentials --data scope=read <<-END
	user = "$STEELCUT_CLIENT_ID:$STEELCUT_CLIENT_SECRET"
	END
) || { printf '%s\n' "$answer" >&2; exit 1; }
token=$(printf %s "$answer" | sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p')

# RFC 6750 §2.1.
curl -sS --fail-with-body --config - "$STEELCUT_DOCUMENT_URL" <<-END
	header = "Authorization: Bearer $token"
	END
