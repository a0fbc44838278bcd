# SPDX-License-Identifier: Apache-2.0
# The workerd of the end-to-end tests. The engine's socket is the one inside the test bed's mount namespace.
# The command line gives the Worker's address and the folder of Durable Objects.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "main", worker = .worker),
    (name = "storage", disk = (writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-01",
  compatibilityFlags = ["experimental"],
  containerEngine = (localDocker = (
    socketPath = "unix:/run/docker.sock",
    containerEgressInterceptorImage = "sidestep",
  )),
  durableObjectNamespaces = [(
    className = "Box",
    uniqueKey = "e2e",
    container = (imageName = "app"),
  )],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [(name = "BOX", durableObjectNamespace = "Box")],
);
