// A real OpenID provider, of other people's making (the package `oidc-provider`), on this machine and for one test.
//
// It knows one client and one person, whom it signs in without asking, so that a browser comes back to the shop by itself. Its
// URL, which is the issuer, is one line on standard output once it listens; it ends with its standard input.
//
// Needs Node.js 20.
//
//   REDIRECT_URI   where people come back to, such as http://localhost:8080/account (required)
//   CLIENT_ID      the shop's id, `daybook` unless it is given
//   CLIENT_SECRET  the shop's secret, `a secret of the test` unless it is given
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const { REDIRECT_URI, CLIENT_ID = "daybook", CLIENT_SECRET = "a secret of the test" } = process.env;

// The package remarks on what it is given, also later; standard output is for the URL alone, and may be closed after it.
console.info = console.warn = console.error;

/** The one person there is. */
const person = { sub: "ana-0001", email: "ana@provider.example", email_verified: true, name: "Ana Elsewhere" };

const jwk = (type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
  use: "sig",
});

const configuration = {
  clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] }],
  jwks: { keys: [jwk("rsa", { modulusLength: 2048 }), jwk("ec", { namedCurve: "P-256" })] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  claims: { email: ["email", "email_verified"], profile: ["name"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_context, id) => (id === person.sub ? { accountId: id, claims: () => person } : undefined),
  // The client is the person's own shop: it may have what it asks for.
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  const standard = provider.callback();
  server.on("request", async (request, response) => {
    if (!request.url.startsWith("/interaction/")) return standard(request, response);
    try {
      await provider.interactionFinished(request, response, { login: { accountId: person.sub } });
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  });
  console.log(issuer);
});
process.stdin.on("end", () => process.exit()).resume();
