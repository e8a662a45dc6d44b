// The resources by the CDK's own constructs (L2) in JavaScript: `l2.js DESCRIPTION OUT`, in step with l2.py.
"use strict";

const fs = require("fs");
const cdk = require("aws-cdk-lib");
const iam = require("aws-cdk-lib/aws-iam");

const PSEUDO = {
  "${AWS::Partition}": cdk.Aws.PARTITION,
  "${AWS::AccountId}": cdk.Aws.ACCOUNT_ID,
  "${AWS::Region}": cdk.Aws.REGION,
};

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const mapped = (value, change) =>
  Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, change(inner)]));

function filled(value) {
  if (Array.isArray(value)) return value.map(filled);
  if (isObject(value)) return mapped(value, filled);
  if (typeof value !== "string" || !value.includes("${AWS::")) return value;
  return Object.entries(PSEUDO).reduce((text, [name, token]) => text.replaceAll(name, token), value);
}

const many = (value) => (value === undefined ? undefined : filled(Array.isArray(value) ? value : [value]));

class Stack extends cdk.Stack {
  constructor(scope, told, shared) {
    super(scope, told.name, { stackName: told.name, synthesizer: new cdk.LegacyStackSynthesizer() });
    this.shared = shared;
    this.policies = Object.fromEntries(told.policies.map((policy) => [policy.id, this.policy(policy)]));
    this.groups = Object.fromEntries(told.groups.map((group) => [group.id, this.group(group)]));
    this.roles = Object.fromEntries(told.roles.map((role) => [role.id, this.role(role)]));
    told.users.forEach((user) => this.user(user));
    for (const { id, type, properties } of told.others) {
      new cdk.CfnResource(this, id, { type, properties: this.referred(properties) });
    }
  }

  policy({ id, name, path, statements }) {
    return new iam.ManagedPolicy(this, id, {
      managedPolicyName: name,
      path,
      statements: statements.map((statement) => this.statement(statement)),
    });
  }

  statement(told) {
    return new iam.PolicyStatement({
      sid: told.Sid,
      effect: told.Effect === "Allow" ? iam.Effect.ALLOW : iam.Effect.DENY,
      actions: many(told.Action),
      notActions: many(told.NotAction),
      resources: many(told.Resource),
      notResources: many(told.NotResource),
      conditions: filled(told.Condition),
      principals: told.Principal === undefined ? undefined : this.principals(told),
    });
  }

  principals(told) {
    if (told.Principal === "*") return [new iam.AnyPrincipal()];
    return Object.entries(told.Principal).flatMap(([kind, value]) =>
      many(value).map((name) => this.principal(kind, name, told)),
    );
  }

  principal(kind, name, told) {
    if (kind === "Service") return new iam.ServicePrincipal(name);
    if (kind === "Federated") return new iam.FederatedPrincipal(name, {}, [told.Action].flat()[0]);
    return name === "*" ? new iam.AnyPrincipal() : new iam.ArnPrincipal(name);
  }

  attached({ id, policies, arns }) {
    const away = arns.map((arn, number) =>
      iam.ManagedPolicy.fromManagedPolicyArn(this, `${id}${number}`, filled(arn)),
    );
    return [...policies.map((policy) => this.policies[policy]), ...away];
  }

  group(told) {
    return new iam.Group(this, told.id, {
      groupName: told.name,
      path: told.path,
      managedPolicies: this.attached(told),
    });
  }

  role(told) {
    const trusted = told.trust
      .filter((one) => one.Effect === "Allow")
      .flatMap((one) =>
        this.principals(one).map((principal) =>
          one.Condition ? principal.withConditions(filled(one.Condition)) : principal,
        ),
      );
    const role = new iam.Role(this, told.id, {
      roleName: told.name,
      path: told.path,
      description: told.description || undefined,
      maxSessionDuration: cdk.Duration.seconds(told.seconds),
      assumedBy: trusted.length > 1 ? new iam.CompositePrincipal(...trusted) : trusted[0],
      managedPolicies: this.attached(told),
      permissionsBoundary: this.boundary(told),
    });
    for (const one of told.trust) {
      if (one.Effect === "Deny") role.assumeRolePolicy.addStatements(this.statement(one));
    }
    this.tag(role, told.tags);
    return role;
  }

  user(told) {
    const away = told.group_names.map((name, number) => iam.Group.fromGroupName(this, `${told.id}${number}`, name));
    const user = new iam.User(this, told.id, {
      userName: told.name,
      path: told.path,
      groups: [...told.groups.map((group) => this.groups[group]), ...away],
      password: told.secret ? cdk.SecretValue.secretsManager(told.secret) : undefined,
      permissionsBoundary: this.boundary(told),
    });
    this.tag(user, told.tags);
  }

  boundary({ id, boundary }) {
    if (boundary === null) return undefined;
    if (isObject(boundary)) return this.policies[boundary.Ref];
    return iam.ManagedPolicy.fromManagedPolicyArn(this, `${id}Boundary`, filled(boundary));
  }

  tag(made, tags) {
    for (const [key, value] of Object.entries(tags)) {
      if (!(key in this.shared)) cdk.Tags.of(made).add(key, value);
    }
  }

  referred(value) {
    if (Array.isArray(value)) return value.map((inner) => this.referred(inner));
    if (!isObject(value)) return value;
    if (value.Ref in this.roles) return this.roles[value.Ref].roleName;
    if (value["Fn::GetAtt"]?.[0] in this.roles) return this.roles[value["Fn::GetAtt"][0]].roleArn;
    return mapped(value, (inner) => this.referred(inner));
  }
}

function sharedTags(stacks) {
  const tagged = stacks.flatMap((stack) => [...stack.users, ...stack.roles]).map(({ tags }) => tags);
  const everywhere = ([key, value]) => tagged.every((tags) => tags[key] === value);
  return Object.fromEntries(Object.entries(tagged[0] ?? {}).filter(everywhere));
}

const { stacks } = JSON.parse(fs.readFileSync(process.argv[2], "utf-8"));
const shared = sharedTags(stacks);
const app = new cdk.App({ outdir: process.argv[3], analyticsReporting: false });
for (const [key, value] of Object.entries(shared)) cdk.Tags.of(app).add(key, value);
for (const stack of stacks) new Stack(app, stack, shared);
app.synth();
