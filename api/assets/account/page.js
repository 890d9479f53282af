// The account page: logging in, and what the owner of an account does about how they log in.
//
// The access token is kept in this page only. The refresh token is in localStorage, so that a reload stays logged in; each one
// works once, therefore only one tab at a time uses it (Web Locks).
"use strict";

const REFRESH = "daybook-refresh-token";
const DEVICE = "daybook-device-token";
const OIDC = "daybook-oidc-token";

const page = { access: null, code: null, challenge: null, setup: null, email: null, settings: null };
const part = (id) => document.getElementById(id);

const SIGNED_IN = "signedIn { accessToken refreshToken deviceToken }";
const ERRORS = "userErrors { code message field }";
const ACCOUNT = `{ me { roles account { id email displayName hasPassword secondFactor recoveryCodesLeft linkedIssuers
  passkeys { id label createdAt } sessions { id deviceLabel createdAt lastUsedAt current } } } }`;

/** Something that the page tells in its own words. */
class Told extends Error {
  constructor(message, code, field) {
    super(message);
    this.code = code;
    this.field = field?.at(-1);
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
  if (refused) throw new Told(refused.message, refused.code, refused.field);
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

/** Leaves the account, and nothing of it on the screen. */
function leave() {
  forget();
  for (const id of ["factor-setup", "codes"]) part(id).hidden = true;
  for (const id of ["codes-list", "factor-secret"]) part(id).replaceChildren();
  part("factor-qr").removeAttribute("src");
  show("login");
}

/** Does something while no other tab does it. (A page without TLS has no locks: there each tab is on its own.) */
const alone = (act) => (navigator.locks ? navigator.locks.request(REFRESH, act) : act());

/** Goes on with the session that this browser has; false if there is none any more. */
async function refresh() {
  return alone(async () => {
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

/** A message as a sentence, with times as they are here. */
function sentence(text) {
  const local = text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, when);
  return local.charAt(0).toUpperCase() + local.slice(1) + (/[.!?]$/.test(local) ? "" : ".");
}

function tell(message, bad = false) {
  const place = part("message");
  place.textContent = message && sentence(message);
  place.classList.toggle("bad", bad);
  place.role = bad ? "alert" : "status";
  place.hidden = !message;
  if (message) place.scrollIntoView({ block: "nearest" });
}

function show(section) {
  for (const each of document.querySelectorAll("section")) each.hidden = each.id !== section;
  const inputs = section === "account" ? [] : [...part(section).querySelectorAll("input")];
  inputs.find((input) => !input.value)?.focus();
}

/** What went wrong, in words for whoever sits there. */
function reason(error) {
  if (error.code === "UNAUTHENTICATED") return "You are logged out: the session has ended.";
  if (error instanceof Told) return error.message;
  if (error.name === "NotAllowedError") return "No passkey was used: the browser's question was closed, or took too long.";
  if (error.name === "InvalidStateError") return "This device has a passkey of the account already.";
  if (error instanceof TypeError) return "The shop does not answer. Try again.";
  return String(error);
}

/** Does something that somebody asked for, once at a time, and tells what came of it. */
async function carryOut(buttons, form, act) {
  for (const button of buttons) button.disabled = true;
  for (const input of form?.elements ?? []) input.removeAttribute("aria-invalid");
  tell("");
  try {
    const said = await act();
    form?.reset();
    if (said) tell(said);
  } catch (error) {
    if (!(error instanceof Told)) console.warn(error);
    tell(reason(error), true);
    if (error.code === "UNAUTHENTICATED") await begin();
    const field = form?.elements[error.field];
    field?.setAttribute("aria-invalid", "true");
    field?.focus();
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** Lets a form or a button do something. */
function on(id, event, act) {
  part(id).addEventListener(event, (happened) => {
    happened.preventDefault();
    const form = event === "submit" ? part(id) : null;
    const fields = form ? Object.fromEntries(new FormData(form)) : {};
    void carryOut(form ? form.querySelectorAll("button") : [part(id)], form, () => act(fields));
  });
}

/** A line of a list, perhaps with something below it and with a button that does something and shows the account anew. */
function line(text, below, action, act) {
  const item = document.createElement("li");
  const words = item.appendChild(document.createElement("span"));
  words.textContent = text;
  if (below) words.appendChild(document.createElement("small")).textContent = below;
  if (action) {
    const button = item.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = action;
    button.setAttribute("aria-label", `${action} ${text}`);
    button.addEventListener("click", () => carryOut([button], null, async () => {
      await act();
      await showAccount();
    }));
  }
  return item;
}

const when = (time) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** What a browser calls itself, in the words that people have for it. */
function device(label) {
  if (!label?.startsWith("Mozilla/")) return label ?? "Unknown device";
  const named = (names) => names.find(([sign]) => label.includes(sign))?.[1];
  const browser = named([
    ["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["CriOS/", "Chrome"],
    ["Safari/", "Safari"],
  ]);
  const system = named([
    ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "macOS"],
    ["CrOS", "ChromeOS"], ["Linux", "Linux"],
  ]);
  return [browser ?? "A browser", system && `on ${system}`].filter(Boolean).join(" ");
}

const host = (issuer) => new URL(issuer).host;

async function showAccount() {
  const { me } = await ask(ACCOUNT);
  const account = me.account;
  if (!account) {
    leave();
    return;
  }
  part("who").textContent = account.displayName || account.email;
  part("address").textContent = account.displayName ? account.email : "";
  part("password-owner").value = account.email;
  part("roles").textContent = me.roles.join(", ");
  part("current-password").hidden = !account.hasPassword;
  part("factor-state").textContent = account.secondFactor
    ? `On: a login with the password takes a code too. ${account.recoveryCodesLeft} recovery codes are left.`
    : "Off: the password alone is enough.";
  part("factor-begin").hidden = account.secondFactor;
  part("factor-remove").hidden = part("codes-renew").hidden = !account.secondFactor;
  part("no-passkeys").hidden = account.passkeys.length > 0;
  part("passkeys").replaceChildren(...account.passkeys.map((passkey) => line(
    passkey.label, `since ${when(passkey.createdAt)}`, "Remove",
    () => mutate("passkeyRemove", "PasskeyRemoveInput", "position", { passkeyId: passkey.id }))));
  part("passkey-part").hidden = !page.settings.passkeys && account.passkeys.length === 0;
  part("passkey-form").hidden = !page.settings.passkeys;
  const { oidcIssuer } = page.settings;
  part("issuers").replaceChildren(...account.linkedIssuers.map((issuer) => line(
    host(issuer), "linked", "Unlink", () => mutate("oidcUnlink", "OidcUnlinkInput", "position", { issuer }))));
  part("oidc-link").hidden = !oidcIssuer || account.linkedIssuers.includes(oidcIssuer);
  part("oidc-part").hidden = !oidcIssuer && account.linkedIssuers.length === 0;
  part("sessions").replaceChildren(...account.sessions.map((session) => line(
    device(session.deviceLabel), session.current ? "this one" : `last used ${when(session.lastUsedAt)}`,
    session.current ? null : "Log out",
    () => mutate("sessionEnd", "SessionEndInput", "position", { sessionId: session.id }))));
  if (location.hash) history.replaceState(null, "", "/account");
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
  part("codes-list").replaceChildren(...codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  }));
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
  page.email = part("sent-to").textContent = email;
  show("sent");
});

on("resend", "click", async () => {
  await mutate("accountVerificationResend", "EmailInput", "accepted", { email: page.email });
  return "Another mail is on its way.";
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

on("email-form", "submit", async () => {
  await mutate("emailChangeConfirm", "EmailChangeConfirmInput", "changed", { code: page.code });
  leave();
  return "The address is changed. Log in with it.";
});

on("claim-form", "submit", async ({ email, password }) => {
  await mutate("adminClaim", "AdminClaimInput", "accountId", { code: page.code, email, password });
  part("login-form").elements.email.value = email;
  show("login");
  return "The admin's account is there. Log in.";
});

// The account

on("logout", "click", async () => {
  await call("logout", "position");
  leave();
  return "Logged out.";
});

on("password-form", "submit", async ({ currentPassword, newPassword }) => {
  const input = { currentPassword: currentPassword || null, newPassword };
  await signedIn(await mutate("passwordChange", "PasswordChangeInput", SIGNED_IN, input));
  return "The password is changed, and all other devices are logged out.";
});

on("new-email-form", "submit", async ({ email }) => {
  await mutate("emailChangeRequest", "EmailInput", "accepted", { email });
  return `A mail is on its way to ${email}. Until its link is used, nothing changes.`;
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
  part("codes").hidden = true;
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
  leave();
  return "Logged out everywhere.";
});

on("export", "click", async () => {
  const { me } = await ask("{ me { exportData } }");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(me.exportData, null, 2)], { type: "application/json" }));
  link.download = "my-data.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

on("delete-form", "submit", async ({ meant }) => {
  const { deleted } = await mutate("accountDelete", "AccountDeleteInput", "deleted", { confirm: meant === "on" });
  if (!deleted) return "The shop was asked to delete the account: somebody there has to agree.";
  leave();
  localStorage.removeItem(DEVICE);
  return "The account is deleted, and what was known about you with it.";
});

/** Comes back from a login elsewhere. Whoever had a session here, to link it, goes on with the new one alone. */
async function comeBack(query) {
  const token = sessionStorage.getItem(OIDC);
  sessionStorage.removeItem(OIDC);
  history.replaceState(null, "", "/account");
  const had = await refresh();
  if (!query.has("code")) {
    await (had ? showAccount() : show("login"));
    tell("The login elsewhere was called off.", true);
    return;
  }
  const input = { token, state: query.get("state"), code: query.get("code"), deviceToken: deviceToken() };
  try {
    const done = await mutate("oidcLoginFinish", "OidcLoginFinishInput", `${SIGNED_IN} challenge { challenge }`, input, post);
    if (had) await call("logout", "position");
    await signedIn(done);
  } catch (error) {
    await (had ? showAccount() : show("login"));
    tell(reason(error), true);
  }
}

/** What the address of the page asks for. A code is taken out of it, so that nobody sees it over a shoulder or in a history. */
async function start() {
  const [what, code] = location.hash.slice(1).split("=", 2);
  const query = new URLSearchParams(location.search);
  if (["verify", "reset", "claim", "email"].includes(what) && code) {
    page.code = decodeURIComponent(code);
    history.replaceState(null, "", "/account");
    show(what);
    return;
  }
  if (query.has("state") && sessionStorage.getItem(OIDC)) {
    await comeBack(query);
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
    page.settings ??= await settings();
    await start();
  } catch (error) {
    show("login");
    tell(reason(error), true);
  }
}

/** How one can log in at this shop with this browser. */
async function settings() {
  const response = await fetch("/account/settings.json");
  if (!response.ok) throw new Told("the shop does not say how one can log in; try again");
  const { passkeys, oidcIssuer } = await response.json();
  const known = { passkeys: passkeys && "parseRequestOptionsFromJSON" in (window.PublicKeyCredential ?? {}), oidcIssuer };
  part("passkey-login").hidden = !known.passkeys;
  part("oidc-login").hidden = !oidcIssuer;
  part("other-logins").hidden = !known.passkeys && !oidcIssuer;
  if (oidcIssuer) {
    part("oidc-login").textContent = `Log in with ${host(oidcIssuer)}`;
    part("oidc-link").textContent = `Link ${host(oidcIssuer)}`;
  }
  return known;
}

window.addEventListener("hashchange", () => {
  tell("");
  void begin();
});
document.addEventListener("click", ({ target }) => {
  // A link to where the address points already changes nothing by itself.
  if (target.closest("a")?.hash === location.hash && location.hash) void begin();
});
void begin();
