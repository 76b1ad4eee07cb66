// oidc-provider as its documentation has it for client credentials: JWT access tokens for a resource (RFC 8707), signed
// ES256, which it does not store. Its client is in its configuration, and the adapter is the one that it brings, in memory.
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const { port, client_id, client_secret, resource } = JSON.parse(readFileSync(0, "utf-8"));
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const server = {
  audience: resource,
  scope: "read",
  accessTokenTTL: 600,
  accessTokenFormat: "jwt",
  jwt: { sign: { alg: "ES256" } },
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id,
      client_secret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
      scope: "read",
    },
  ],
  scopes: ["read"],
  jwks: { keys: [{ ...key, use: "sig", alg: "ES256" }] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => server,
    },
  },
});
provider.listen(port, "127.0.0.1");
