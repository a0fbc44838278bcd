# SPDX-License-Identifier: Apache-2.0
# A Worker with a Durable Object that has a container. The sidecar of containerEgressInterceptorImage, here
# Sidestep, intercepts the container's connections to the outside.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-01",
  compatibilityFlags = ["experimental"],  # for interceptOutboundTcp
  containerEngine = (localDocker = (
    socketPath = "unix:/var/run/docker.sock",
    containerEgressInterceptorImage = "sidestep",
  )),
  durableObjectNamespaces = [(
    className = "Box",
    uniqueKey = "sidestep-example",
    container = (imageName = "sidestep-example-app"),
  )],
  durableObjectStorage = (inMemory = void),
  bindings = [(name = "BOX", durableObjectNamespace = "Box")],
);
