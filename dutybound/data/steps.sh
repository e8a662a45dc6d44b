set -eu
export AWS_PAGER=""

errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
left=0

ok() { printf 'ok     %s\n' "$*"; }
todo() { left=$((left + 1)); printf 'TO DO  %s\n' "$*"; }
stop() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Ask AWS. The answer is empty where the thing is not there; any other failure ends the script (which is why its answer
# is always kept in a variable first: in a pipe the failure would be lost).
ask() {
  if answer=$(aws "$@" --output json 2>"$errors"); then
    printf '%s\n' "$answer"
  elif ! grep -Eq '\((NoSuchEntity|NotFound|NotFoundException)\)' "$errors"; then
    cat "$errors" >&2
    return 1
  fi
}

# Ask AWS where an answer may be refused, as a member account is for its organization's trail.
look() { aws "$@" --output json 2>/dev/null || true; }

# Run a line of Python on the answer on standard input, which it finds as `it` (an empty object if there is none).
of() { python3 -c "import json, sys; text = sys.stdin.read(); it = json.loads(text) if text.strip() else {}; $1"; }

# who_am_i [ACCOUNT...]: say where the script is, and stop if it is in none of these accounts.
who_am_i() {
  identity=$(ask sts get-caller-identity)
  arn=$(printf '%s' "$identity" | of 'print(it["Arn"])')
  account=$(printf '%s' "$identity" | of 'print(it["Account"])')
  partition=$(printf '%s' "$arn" | cut -d: -f2)
  printf 'Account %s, as %s\n' "$account" "$arn"
  case " ${*:-$account} " in
    *" $account "*) ;;
    *) stop "this is account $account; these steps are for $*" ;;
  esac
}

# Print the password policy that should be there, as the JSON that AWS takes; nothing if it is there already.
# AWS resets every setting that an update leaves out, so what is there is sent again with what the configuration names.
# Where there is no policy, IAM's own rules hold: 8 characters of three kinds. They are the start, so that naming one
# setting loosens no other. A 0 is no number that AWS takes: leaving the setting out means "none".
password_policy_to_send() {
  CURRENT=$(ask iam get-account-password-policy) || return 1
  CURRENT=$CURRENT NAMED=$1 python3 -c '
import json, os, sys

there = json.loads(os.environ["CURRENT"] or "{}").get("PasswordPolicy")
classes = ["RequireLowercaseCharacters", "RequireNumbers", "RequireUppercaseCharacters"]
start = {"MinimumPasswordLength": 8, "RequireSymbols": False, "AllowUsersToChangePassword": False}
start.update(dict.fromkeys(classes, True))
known = {*start, "MaxPasswordAge", "PasswordReusePrevention", "HardExpiry"}
before = None if there is None else {k: v for k, v in there.items() if k != "ExpirePasswords" and v is not None}
strange = sorted(set(before or {}) - known)
if strange:
    sys.exit("error: AWS has password settings that this script would reset: %s. Nothing was changed." % strange)
after = {**(start if before is None else before), **json.loads(os.environ["NAMED"])}
after = {k: v for k, v in after.items() if v is False or v != 0}
if after != before:
    print(json.dumps(after, sort_keys=True))
'
}

# password_policy NAMED: bring the account to the settings that NAMED names, and leave the others as they are.
password_policy() {
  send=$(password_policy_to_send "$1")
  if [ -n "$send" ]; then
    aws iam update-account-password-policy --cli-input-json "$send"
    again=$(password_policy_to_send "$1")
    if [ -n "$again" ]; then stop "the password policy was set, but AWS answers with another one"; fi
    ok "password policy: changed to $send"
  else
    ok "password policy: as it should be"
  fi
  now=$(ask iam get-account-password-policy)
  locks=$(printf '%s' "$now" | of 'p = it["PasswordPolicy"]; print(p.get("HardExpiry") and p.get("ExpirePasswords"))')
  if [ "$locks" = True ]; then
    todo "password policy: hard expiry is on: an expired password locks its owner out. Turn it off in the IAM console, Account settings"
  fi
}

# trail REGION: a trail has to log management events of all Regions, or the alarm hears nothing.
trail() {
  trails=$(ask cloudtrail describe-trails "--region=$1")
  everywhere=$(printf '%s' "$trails" | of 'print(*(t["TrailARN"] for t in it.get("trailList", []) if t.get("IsMultiRegionTrail")))')
  for each in $everywhere; do
    region=$(printf '%s' "$each" | cut -d: -f4)
    logging=$(look cloudtrail get-trail-status "--name=$each" "--region=$region" | of 'print(it.get("IsLogging"))')
    whole=$(look cloudtrail get-event-selectors "--trail-name=$each" "--region=$region" | of '
plain = any(s.get("IncludeManagementEvents") and s.get("ReadWriteType") == "All" for s in it.get("EventSelectors") or [])
fields = [{f["Field"]: f for f in s["FieldSelectors"]} for s in it.get("AdvancedEventSelectors") or []]
management = [f for f in fields if f.get("eventCategory", {}).get("Equals") == ["Management"]]
print(plain or any(set(f) == {"eventCategory"} for f in management))')
    if [ "$logging" = True ] && [ "$whole" = True ]; then ok "trail: $each logs"; return; fi
  done
  if [ -n "$everywhere" ]; then
    todo "trail: none of these is seen to log all management events; look at them in the CloudTrail console: $everywhere"
  else
    todo "trail: make one for all Regions that logs management events: CloudTrail console, Create trail"
  fi
}

# alarm REGION TOPIC ADDRESS...: every address has to confirm its subscription by the mail that AWS sent to it.
alarm() {
  arn="arn:$partition:sns:$1:$account:$2"
  found=$(ask sns list-subscriptions-by-topic "--topic-arn=$arn" "--region=$1")
  shift 2
  if [ -z "$found" ]; then todo "alarm: $arn is not there: deploy first"; return; fi
  for address in "$@"; do
    state=$(printf '%s' "$found" | ADDRESS=$address of 'import os
theirs = [s for s in it.get("Subscriptions", []) if s["Endpoint"] == os.environ["ADDRESS"]]
arns = [s["SubscriptionArn"] for s in theirs if s["SubscriptionArn"] != "Deleted"]
print("confirmed" if any(a.startswith("arn:") for a in arns) else "pending" if arns else "missing")')
    case $state in
      confirmed) ok "alarm: $address hears it" ;;
      pending) todo "alarm: $address has not confirmed: open the mail \"AWS Notification - Subscription Confirmation\"" ;;
      missing) todo "alarm: $address is not subscribed: deploy first; or it unsubscribed: take it out, deploy, put it back" ;;
    esac
  done
}

# break_glass_user runbook|secret NAME: a password, two devices, no access key. See docs/break-glass.md.
break_glass_user() {
  there=$(ask iam get-user "--user-name=$2")
  if [ -z "$there" ]; then todo "$2: is not there: deploy first"; return; fi
  profile=$(ask iam get-login-profile "--user-name=$2")
  devices=$(ask iam list-mfa-devices "--user-name=$2")
  devices=$(printf '%s' "$devices" | of 'print(len(it.get("MFADevices", [])))')
  keys=$(ask iam list-access-keys "--user-name=$2")
  keys=$(printf '%s' "$keys" | of 'print(len(it.get("AccessKeyMetadata", [])))')
  if [ -n "$profile" ]; then
    ok "$2: has a password"
  elif [ "$1" = secret ]; then
    todo "$2: its sealed password is not set: somebody removed it; see docs/break-glass.md"
  else
    todo "$2: has no password. Two people, in one sitting: IAM console, Users, $2, Security credentials, Enable console access, 30 characters or more, no change at first sign-in"
  fi
  if [ "$devices" -ge 2 ]; then
    ok "$2: has $devices MFA devices"
  else
    todo "$2: has $devices MFA devices and should have two, kept in different places: sign in as $2, Security credentials, Assign MFA device"
  fi
  if [ "$keys" -gt 0 ]; then todo "$2: has an access key and should have none: aws iam list-access-keys --user-name=$2"; fi
}

# person NAME: somebody who signs in to the console needs a first password.
person() {
  there=$(ask iam get-user "--user-name=$1")
  if [ -z "$there" ]; then todo "$1: is not there: deploy first"; return; fi
  profile=$(ask iam get-login-profile "--user-name=$1")
  if [ -n "$profile" ]; then
    ok "$1: has a password"
  else
    todo "$1: has no password: IAM console, Users, $1, Security credentials, Enable console access, Autogenerated password; hand it over in person, and see that $1 enrols MFA at once"
  fi
}

# instance REGION ARN STORE: the organization's instance of Identity Center, which no call of AWS makes. It comes first:
# before it is there, nothing of Identity Center can be deployed.
instance() {
  found=$(ask sso-admin list-instances "--region=$1")
  there=$(printf '%s' "$found" | of 'print(*("%s=%s" % (i["InstanceArn"], i["IdentityStoreId"]) for i in it.get("Instances", [])))')
  case " $there " in
    *" $2=$3 "*) ok "Identity Center: $2 is enabled" ;;
    "  ") todo "Identity Center: not enabled in $1, and no API enables it for an organization: IAM Identity Center console of this account, Region $1, Enable, with AWS Organizations. Then write what 'aws sso-admin list-instances --region $1' shows under organization.identity_center" ;;
    *) todo "Identity Center: the configuration names $2 with the store $3, and here is $there (ARN=store): correct organization.identity_center" ;;
  esac
}

# identity_center: what its console alone shows and sets, in the account that manages the organization.
identity_center() {
  printf 'LOOK   %s\n' "no API shows this: IAM Identity Center console, Settings, Authentication, Multi-factor authentication, Configure: 'Every time they sign in (always-on)' and 'Require them to register an MFA device at sign in'; with an external identity provider, there instead"
}

finish() { if [ "$left" = 0 ]; then echo "Nothing is left to do."; else echo "$left left to do by hand."; fi; }
