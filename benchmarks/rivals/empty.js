// A CDK app with nothing in it: the floor of every CDK program in JavaScript. `empty.js DESCRIPTION OUT` reads nothing.
"use strict";

const cdk = require("aws-cdk-lib");

new cdk.App({ outdir: process.argv[3], analyticsReporting: false }).synth();
