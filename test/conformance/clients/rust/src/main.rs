//! A client in Rust on `kube`, with a kubeconfig alone: what it asks is in ../README.md.

use std::error::Error;
use std::process::exit;

use futures::{TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use tokio::io::{AsyncBufReadExt, BufReader, copy, stdin, stdout};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let [file, what, namespace, more @ ..] = given.as_slice() else {
        return Err("usage: FILE list|watch|exec NAMESPACE [POD COMMAND...]".into());
    };
    let kubeconfig = Kubeconfig::read_from(file)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    match (*what, more) {
        ("list", []) => list(Api::namespaced(client, namespace)).await,
        ("watch", []) => watch(Api::namespaced(client, namespace)).await,
        ("exec", [pod, command @ ..]) => {
            exec(Api::namespaced(client, namespace), pod, command).await
        }
        _ => Err(format!("there is no {what} with these arguments").into()),
    }
}

/// Lists once, and again for each line that it is given.
async fn list(config_maps: Api<ConfigMap>) -> Outcome {
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        match config_maps.list(&ListParams::default()).await {
            Ok(found) => {
                let names: Vec<_> = found.iter().map(|each| each.name_any()).collect();
                println!("{}", names.join(" "));
            }
            Err(error) => println!("{error}"),
        }
        if lines.next_line().await?.is_none() {
            return Ok(());
        }
    }
}

/// `watch` returns as soon as there is a head, which says nothing of events yet.
async fn watch(config_maps: Api<ConfigMap>) -> Outcome {
    let from = config_maps
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    let events = config_maps.watch(&WatchParams::default(), &from).await?;
    println!("open");
    pin_mut!(events);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) => println!("ADDED {}", object.name_any()),
            WatchEvent::Error(status) => return Err(status.message.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn exec(pods: Api<Pod>, pod: &str, command: &[&str]) -> Outcome {
    let options = AttachParams::default().stdin(false).stderr(false);
    let mut running = pods.exec(pod, command.iter().copied(), &options).await?;
    let status = running.take_status().ok_or("no status")?;
    if let Some(mut output) = running.stdout() {
        copy(&mut output, &mut stdout()).await?;
    }
    let status = status.await;
    running.join().await?;
    exit(exit_code(
        status.ok_or("the command's connection ended without a status")?,
    )?);
}

fn exit_code(status: Status) -> Result<i32, Box<dyn Error>> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status
        .details
        .and_then(|details| details.causes)
        .unwrap_or_default();
    let code = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|cause| cause.message.as_deref()) {
        Some(code) => Ok(code.parse()?),
        None => Err(status.message.unwrap_or_default().into()),
    }
}
