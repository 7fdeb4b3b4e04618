// Preloaded into kinesis-local, which would listen on every interface of the machine: on 127.0.0.1 alone.
"use strict";
const net = require("net");
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (where, ...rest) {
  const options = where !== null && typeof where === "object" ? { ...where } : { port: where };
  const callback = rest.find((argument) => typeof argument === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, callback);
};
