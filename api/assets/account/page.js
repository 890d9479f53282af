// The account page: logging in, and what the owner of an account does about how they log in.
//
// The access token is kept in this page only. The refresh token is in localStorage, so that a reload stays logged in; each one
// works once, therefore only one tab at a time uses it (Web Locks).
"use strict";

const REFRESH = "daybook-refresh-token";
const DEVICE = "daybook-device-token";
const OIDC = "daybook-oidc-token";

const page = { access: null, code: null, challenge: null, setup: null };
const part = (id) => document.getElementById(id);

const SIGNED_IN = "signedIn { accessToken refreshToken deviceToken }";
const ERRORS = "userErrors { code message }";
const ACCOUNT = `{ me { roles account { id email displayName hasPassword secondFactor recoveryCodesLeft linkedIssuers
  passkeys { id label createdAt } sessions { id deviceLabel createdAt lastUsedAt current } } } }`;

/** Something that the page tells in its own words. */
class Told extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

async function post(query, variables) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (page.access) headers.Authorization = `Bearer ${page.access}`;
  const response = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const answer = await response.json();
  if (answer.errors) throw new Told(answer.errors[0].message, answer.errors[0].extensions?.code);
  return answer.data;
}

/** Asks, with another access token if the one at hand has ended. */
async function ask(query, variables) {
  try {
    return await post(query, variables);
  } catch (error) {
    if (error.code !== "UNAUTHENTICATED" || !page.access || !(await refresh())) throw error;
    return post(query, variables);
  }
}

/** Carries out a mutation with one input, and answers its payload. */
async function mutate(name, type, selection, input, by = ask) {
  const query = `mutation($input: ${type}!) { ${name}(input: $input) { ${selection} ${ERRORS} } }`;
  return payload(await by(query, { input }), name);
}

/** Carries out a mutation without input. */
async function call(name, selection) {
  return payload(await ask(`mutation { ${name} { ${selection} ${ERRORS} } }`), name);
}

function payload(data, name) {
  const [refused] = data[name].userErrors;
  if (refused) throw new Told(refused.message, refused.code);
  return data[name];
}

const deviceToken = () => localStorage.getItem(DEVICE);

function keep(signedIn) {
  page.access = signedIn.accessToken;
  localStorage.setItem(REFRESH, signedIn.refreshToken);
  if (signedIn.deviceToken) localStorage.setItem(DEVICE, signedIn.deviceToken);
}

function forget() {
  page.access = null;
  localStorage.removeItem(REFRESH);
}

/** Goes on with the session that this browser has; false if there is none any more. */
async function refresh() {
  return navigator.locks.request(REFRESH, async () => {
    const refreshToken = localStorage.getItem(REFRESH);
    page.access = null;
    if (!refreshToken) return false;
    try {
      const done = await mutate("tokenRefresh", "TokenRefreshInput", SIGNED_IN, { refreshToken }, post);
      keep(done.signedIn);
      return true;
    } catch (error) {
      if (error.code === "SESSION_ENDED") forget();
      else throw error;
      return false;
    }
  });
}

function tell(message, bad = false) {
  const place = part("message");
  place.textContent = message;
  place.className = bad ? "bad" : "";
  place.hidden = !message;
}

function show(section) {
  for (const each of document.querySelectorAll("section")) each.hidden = each.id !== section;
  part(section).querySelector("input")?.focus();
}

/** Lets a form or a button do something, and tells what came of it. */
function on(id, event, act) {
  part(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const form = event === "submit" ? part(id) : null;
    tell("");
    try {
      const said = await act(form ? Object.fromEntries(new FormData(form)) : {});
      form?.reset();
      if (said) tell(said);
    } catch (error) {
      tell(error.message || String(error), true);
      if (error.code === "UNAUTHENTICATED") await start();
    }
  });
}

function line(text, action, act) {
  const item = document.createElement("li");
  item.textContent = `${text} `;
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action;
    button.addEventListener("click", async () => {
      try {
        await act();
        await showAccount();
      } catch (error) {
        tell(error.message, true);
      }
    });
    item.append(button);
  }
  return item;
}

const when = (time) => new Date(time).toLocaleString();

async function showAccount() {
  const { me } = await ask(ACCOUNT);
  const account = me.account;
  if (!account) {
    show("login");
    return;
  }
  part("who").textContent = account.displayName ? `${account.displayName} (${account.email})` : account.email;
  part("roles").textContent = me.roles.join(", ");
  part("current-password").hidden = !account.hasPassword;
  part("factor-state").textContent = account.secondFactor
    ? `On, with ${account.recoveryCodesLeft} recovery codes left.` : "Off.";
  part("factor-begin").hidden = account.secondFactor;
  part("factor-remove").hidden = part("codes-renew").hidden = !account.secondFactor;
  part("passkeys").replaceChildren(...account.passkeys.map((passkey) => line(
    `${passkey.label}, since ${when(passkey.createdAt)}`, "Remove",
    () => mutate("passkeyRemove", "PasskeyRemoveInput", "position", { passkeyId: passkey.id }))));
  part("issuers").replaceChildren(...account.linkedIssuers.map((issuer) => line(issuer)));
  part("sessions").replaceChildren(...account.sessions.map((session) => line(
    `${session.deviceLabel ?? "Unknown device"}, last used ${when(session.lastUsedAt)}${session.current ? " (this one)" : ""}`,
    session.current ? null : "End",
    () => mutate("sessionEnd", "SessionEndInput", "position", { sessionId: session.id }))));
  show("account");
}

async function signedIn(done) {
  if (done.challenge) {
    page.challenge = done.challenge.challenge;
    show("second-factor");
    return;
  }
  keep(done.signedIn);
  await showAccount();
}

function showCodes(codes) {
  part("codes-list").replaceChildren(...codes.map((code) => line(code)));
  part("codes").hidden = false;
}

async function oidc(link) {
  const { redirect } = await mutate("oidcLoginBegin", "OidcLoginBeginInput", "redirect { token url }", { link });
  sessionStorage.setItem(OIDC, redirect.token);
  location.assign(redirect.url);
}

// Logging in

on("login-form", "submit", async ({ email, password }) => {
  const input = { email, password, deviceToken: deviceToken() };
  await signedIn(await mutate("login", "LoginInput", `${SIGNED_IN} challenge { challenge }`, input, post));
});

on("second-factor-form", "submit", async ({ code }) => {
  const input = { challenge: page.challenge, code, deviceToken: deviceToken() };
  await signedIn(await mutate("loginSecondFactor", "LoginSecondFactorInput", SIGNED_IN, input, post));
});

on("passkey-login", "click", async () => {
  const begun = await call("passkeyLoginBegin", "options { token options }");
  const { token, options } = begun.options;
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey ?? options);
  const credential = await navigator.credentials.get({ publicKey });
  const input = { token, response: credential.toJSON(), deviceToken: deviceToken() };
  await signedIn(await mutate("passkeyLoginFinish", "PasskeyLoginFinishInput", SIGNED_IN, input, post));
});

on("oidc-login", "click", () => oidc(false));
on("oidc-link", "click", () => oidc(true));

// Coming to an account

on("register-form", "submit", async ({ email, displayName, password }) => {
  const input = { email, password, displayName: displayName || null };
  await mutate("accountRegister", "AccountRegisterInput", "accepted", input);
  return "A mail is on its way. Its link confirms the address.";
});

on("forgot-form", "submit", async ({ email }) => {
  await mutate("passwordResetRequest", "EmailInput", "accepted", { email });
  return "If there is such an account, a mail with a link is on its way.";
});

on("verify-form", "submit", async ({ password }) => {
  await mutate("accountVerify", "AccountVerifyInput", "accountId", { code: page.code, password });
  show("login");
  return "The address is confirmed. Log in.";
});

on("reset-form", "submit", async ({ newPassword }) => {
  await mutate("passwordReset", "PasswordResetInput", "changed", { code: page.code, newPassword });
  forget();
  show("login");
  return "The password is set. Log in with it.";
});

on("claim-form", "submit", async ({ email, password }) => {
  await mutate("adminClaim", "AdminClaimInput", "accountId", { code: page.code, email, password });
  show("login");
  return "The admin's account is there. Log in.";
});

// The account

on("logout", "click", async () => {
  await call("logout", "position");
  forget();
  show("login");
  return "Logged out.";
});

on("password-form", "submit", async ({ currentPassword, newPassword }) => {
  const input = { currentPassword: currentPassword || null, newPassword };
  await signedIn(await mutate("passwordChange", "PasswordChangeInput", SIGNED_IN, input));
  return "The password is changed, and all other devices are logged out.";
});

on("factor-begin", "click", async () => {
  const { setup } = await call("secondFactorBegin", "setup { token qrSvg secret }");
  page.setup = setup.token;
  part("factor-qr").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(setup.qrSvg)}`;
  part("factor-secret").textContent = setup.secret;
  part("factor-setup").hidden = false;
});

on("factor-form", "submit", async ({ code }) => {
  const input = { token: page.setup, code };
  const { recoveryCodes } = await mutate("secondFactorConfirm", "SecondFactorConfirmInput", "recoveryCodes", input);
  part("factor-setup").hidden = true;
  showCodes(recoveryCodes);
  await showAccount();
  return "From now on a login takes a code too.";
});

on("factor-remove", "click", async () => {
  await call("secondFactorRemove", "position");
  await showAccount();
  return "The password alone is enough again.";
});

on("codes-renew", "click", async () => {
  showCodes((await call("recoveryCodesRenew", "recoveryCodes")).recoveryCodes);
  await showAccount();
});

on("passkey-form", "submit", async ({ label }) => {
  const begun = await call("passkeyRegistrationBegin", "options { token options }");
  const { token, options } = begun.options;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey ?? options);
  const credential = await navigator.credentials.create({ publicKey });
  const input = { token, response: credential.toJSON(), label };
  await mutate("passkeyRegistrationFinish", "PasskeyRegistrationFinishInput", "passkey { id }", input);
  await showAccount();
  return "The passkey is added.";
});

on("sessions-end", "click", async () => {
  await mutate("sessionsEndAll", "SessionsEndAllInput", "position", {});
  forget();
  show("login");
  return "Logged out everywhere.";
});

/** What the address of the page asks for. A code is taken out of it, so that nobody sees it over a shoulder or in a history. */
async function start() {
  const [what, code] = location.hash.slice(1).split("=", 2);
  const query = new URLSearchParams(location.search);
  if (["verify", "reset", "claim"].includes(what) && code) {
    page.code = decodeURIComponent(code);
    history.replaceState(null, "", "/account");
    show(what);
    return;
  }
  if (query.has("code") && query.has("state") && sessionStorage.getItem(OIDC)) {
    const [token, state] = [sessionStorage.getItem(OIDC), query.get("state")];
    sessionStorage.removeItem(OIDC);
    history.replaceState(null, "", "/account");
    const input = { token, state, code: query.get("code"), deviceToken: deviceToken() };
    await signedIn(await mutate("oidcLoginFinish", "OidcLoginFinishInput", `${SIGNED_IN} challenge { challenge }`, input, post));
    return;
  }
  if (what === "register" || what === "forgot") {
    show(what);
    return;
  }
  if (page.access || (await refresh())) await showAccount();
  else show("login");
}

async function begin() {
  try {
    await start();
  } catch (error) {
    show("login");
    tell(error.message, true);
  }
}

window.addEventListener("hashchange", begin);
begin();
