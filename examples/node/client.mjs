// Get an access token with openid-client, and open a protected document with it.
//
// The variables are those of the command line, as `steelcut dev` writes them:
//
//   STEELCUT_ISSUER=… STEELCUT_CLIENT_ID=… STEELCUT_CLIENT_SECRET=… node client.mjs URL-OF-THE-DOCUMENT

import * as oauth from 'openid-client'

const {
  STEELCUT_ISSUER: issuer,
  STEELCUT_CLIENT_ID: clientId,
  STEELCUT_CLIENT_SECRET: clientSecret,
  STEELCUT_SCOPE: scope, // what to ask for, separated by spaces; without it, what the client was granted
  STEELCUT_DOCUMENT_URL: document = process.argv[2],
  STEELCUT_RESOURCE: resource = document, // a document's URL is its resource's identifier
} = process.env

async function fetchDocument() {
  const { protocol, hostname } = new URL(issuer)
  // Secrets and tokens go unencrypted to this machine alone.
  const onThisMachine = protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)

  // RFC 8414: where the token endpoint is, the issuer's metadata say.
  const server = await oauth.discovery(
    new URL(issuer),
    clientId,
    undefined,
    oauth.ClientSecretBasic(clientSecret),
    { algorithm: 'oauth2', execute: onThisMachine ? [oauth.allowInsecureRequests] : [] },
  )

  // RFC 6749 §4.4, for one resource: RFC 8707.
  const token = await oauth.clientCredentialsGrant(server, scope ? { resource, scope } : { resource })

  // RFC 6750 §2.1
  const answer = await oauth.fetchProtectedResource(
    server,
    token.access_token,
    new URL(document),
    'GET',
  )
  if (!answer.ok) throw new Error(`${document} answered ${answer.status}`)
  return answer.json()
}

// An OAuth error stands in the answer's body (RFC 6749 §5.2), or in its challenge (RFC 6750 §3).
async function reasonOf(error) {
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    const { parameters } = error.cause[0]
    const said = parameters.error ? parameters : await error.response.json()
    return `${said.error}: ${said.error_description}`
  }
  if (error instanceof oauth.ResponseBodyError) return `${error.error}: ${error.error_description}`
  return error.cause?.message ?? error.message
}

if (!issuer || !clientId || !clientSecret || !document) {
  console.error('Set STEELCUT_ISSUER, STEELCUT_CLIENT_ID and STEELCUT_CLIENT_SECRET, and give the URL of a document.')
  process.exit(2)
}
try {
  console.log(JSON.stringify(await fetchDocument()))
} catch (error) {
  console.error(await reasonOf(error))
  process.exit(1)
}
