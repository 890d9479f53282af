//! People with accounts: how they come to one, and what they ask with it.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::server::Server;

/// A password that nobody guesses.
pub const PASSWORD: &str = "seven oolong teapots";
/// What a device gets.
pub const SIGNED_IN: &str = "signedIn { accessToken refreshToken deviceToken account { id email roles verified } }";

/// Somebody who is logged in.
pub struct Person {
    pub id: String,
    pub email: String,
    pub access: String,
    pub refresh: String,
    pub device: String,
}

impl Person {
    /// Reads what a login answered.
    pub fn of(signed_in: &Value, email: &str) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&signed_in["account"]["id"]),
            email: email.to_owned(),
            access: text(&signed_in["accessToken"]),
            refresh: text(&signed_in["refreshToken"]),
            device: text(&signed_in["deviceToken"]),
        }
    }

    fn by(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.access)
    }
}

impl Server {
    /// The answer to a document, sent by somebody who is logged in.
    pub async fn ask_as(&self, person: &Person, query: &str, variables: Value) -> Value {
        let request = self.post(json!({ "query": query, "variables": variables }).to_string());
        person.by(request).send().await.unwrap().json().await.unwrap()
    }

    /// What a mutation with one input answers to somebody who is logged in: its payload. Fails on a GraphQL error.
    pub async fn mutate_as(&self, person: &Person, mutation: &str, kind: &str, selection: &str, input: Value) -> Value {
        let query = one_input(mutation, kind, selection);
        let answer = self.ask_as(person, &query, json!({ "i": input })).await;
        assert_eq!(answer.get("errors"), None, "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    /// The same for nobody in particular.
    pub async fn mutate_of(&self, mutation: &str, kind: &str, selection: &str, input: Value) -> Value {
        let answer = self.run(None, &one_input(mutation, kind, selection), json!({ "i": input })).await;
        assert_eq!(answer.get("errors"), None, "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    /// What stands behind `#what=` in the newest mail to an address that has it.
    pub async fn mailed(&self, to: &str, what: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(code) = self.in_mails(to, what) {
                return code;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no mail to {to} with {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn in_mails(&self, to: &str, what: &str) -> Option<String> {
        let mut mails: Vec<_> = self.mails().into_iter().filter(|mail| mail.contains(&format!("To: {to}"))).collect();
        let mark = format!("#{what}=");
        mails.reverse();
        let rest = mails.iter().find_map(|mail| mail.split_once(&mark).map(|(_, rest)| rest.to_owned()))?;
        Some(rest.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// All mails, the oldest first.
    pub fn mails(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.folder.path().join("mail")) else { return Vec::new() };
        let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    /// Makes the account of an address, by mail.
    pub async fn registered(&self, email: &str) {
        let input = json!({ "email": email, "password": PASSWORD, "displayName": "Ana" });
        let asked = self.mutate_of("accountRegister", "AccountRegisterInput", "accepted", input).await;
        assert_eq!((&asked["accepted"], &asked["userErrors"]), (&json!(true), &json!([])));
        let code = self.mailed(email, "verify").await;
        let input = json!({ "code": code, "password": PASSWORD });
        let made = self.mutate_of("accountVerify", "AccountVerifyInput", "accountId", input).await;
        assert_eq!(made["userErrors"], json!([]), "{made}");
    }

    /// The answer to a login.
    pub async fn login(&self, email: &str, password: &str) -> Value {
        let input = json!({ "email": email, "password": password });
        self.mutate_of("login", "LoginInput", &format!("{SIGNED_IN} challenge {{ challenge }}"), input).await
    }

    /// Somebody with an account, logged in.
    pub async fn person(&self, email: &str) -> Person {
        self.registered(email).await;
        self.logged_in(email).await
    }

    /// The same person on another device.
    pub async fn logged_in(&self, email: &str) -> Person {
        let answer = self.login(email, PASSWORD).await;
        assert_eq!(answer["userErrors"], json!([]), "{answer}");
        Person::of(&answer["signedIn"], email)
    }

    /// The first admin, logged in.
    pub async fn admin(&self) -> Person {
        let link = self.running.admin_link().await.unwrap().unwrap();
        let code = link.split_once("#claim=").unwrap().1;
        let input = json!({ "code": code, "email": "root@example.com", "password": PASSWORD });
        let made = self.mutate_of("adminClaim", "AdminClaimInput", "accountId", input).await;
        assert_eq!(made["userErrors"], json!([]), "{made}");
        self.logged_in("root@example.com").await
    }
}

/// A mutation with one input, and what it refuses.
pub fn one_input(mutation: &str, kind: &str, selection: &str) -> String {
    let errors = "position userErrors { code field message }";
    format!("mutation($i: {kind}!) {{ {mutation}(input: $i) {{ {selection} {errors} }} }}")
}

/// The code of the rule that forbade a mutation.
pub fn refusal(payload: &Value) -> &str {
    payload["userErrors"][0]["code"].as_str().unwrap_or("none")
}
