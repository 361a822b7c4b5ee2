/** Pure: the shell script that runs nginx in a container and has it read its files again when they change. */
import { generationFiles } from "./nginx-servers.ts";

export interface WatchOptions {
  /** nginx.conf. */
  readonly configuration: string;
  /** Files and folders whose content is looked at, besides the certificate. */
  readonly watched: readonly string[];
  /** Left out for plain HTTP. A pair that is missing is made, signed by itself, until a real one comes. */
  readonly tls?: {
    readonly certificate: string;
    readonly key: string;
    /** In the certificate that is made. */
    readonly names: readonly string[];
  };
  /** A folder that may be written to. */
  readonly runtimeFolder?: string;
  /** Written at the start where nginx has that version or a newer one: the image's tag does not tell what is in it. */
  readonly newer?: {
    readonly since: readonly [major: number, minor: number, patch: number];
    readonly file: string;
    readonly lines: readonly string[];
  };
}

/** POSIX shell; needs nginx, find, sort, sed, sha256sum, and openssl where a certificate is made. */
export function renderNginxWatch({ configuration, watched, tls, runtimeFolder = "/tmp", newer }: WatchOptions): string {
  const looked = [...watched, ...(tls ? [tls.certificate, tls.key] : [])];
  const alternatives = (tls?.names.length ? tls.names : ["localhost"]).map((name) =>
    /:|^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`,
  );
  return `#!/bin/sh
# Runs nginx; has it read its files again when they change. A broken change is told of, and what ran before stays.
set -u
configuration=${quote(configuration)}
certificate=${quote(tls?.certificate ?? "")}
key=${quote(tls?.key ?? "")}
alternatives=${quote(alternatives.join(","))}
complaint=${quote(`${runtimeFolder}/nginx-complaint`)}
umask 077

say() { printf 'nginx-watch: %s\\n' "$*" >&2; }

# Names of gateways in the configuration: nginx asks for their addresses only when it reads its files.
names() {
    find -L ${looked[0] ? quote(looked[0]) : "."} -type f -name '*.conf' -exec sed -n 's/^ *server  *\\([A-Za-z0-9_.-]*[A-Za-z_-][A-Za-z0-9_.-]*\\):[0-9].*max_fails.*/\\1/p' {} + | sort -u
}

# What the files hold and where the gateways are; nothing while one of them is not to be found.
state() {
    for name in $(names); do
        addresses=$(getent hosts "$name" | sed 's/ .*//' | sort)
        [ -n "$addresses" ] || return 0
        printf '%s %s\\n' "$name" "$addresses"
    done > "$complaint.names"
    {
        cat "$complaint.names"
        find -L ${looked.map(quote).join(" ")} -type f -exec sha256sum {} + 2>/dev/null | sort
    } | sha256sum
}

# Until there is a real one, so that nginx can start. One that is there is never touched.
bootstrap() {
    [ -n "$certificate" ] || return 0
    [ -s "$certificate" ] && [ -s "$key" ] && return 0
    if ! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3650 \\
        -subj /CN=openclaw -addext "subjectAltName=$alternatives" -keyout "$key.new" -out "$certificate.new" 2> "$complaint"; then
        say "there is no certificate at $certificate, and none could be made: $(cat "$complaint")"
        return 1
    fi
    mv "$key.new" "$key" && mv "$certificate.new" "$certificate" || return 1
    say "made a certificate for $alternatives, signed by itself, until a real one comes"
}

${newer ? newerFunction(newer) : ""}nap() { sleep 1 & wait $! 2>/dev/null; }

# Each configuration that nginx reads has a number, and a mark beside it once nginx was told to read the next one.
generation=0
number() {
    generation=$((generation + 1))
    printf 'set $openclaw_generation %s;\\n' "$generation" > ${quote(`${runtimeFolder}/${generationFiles.number}`)}
}
past() { : > ${quote(`${runtimeFolder}/${generationFiles.past}`)}"$1"; }
rm -f ${quote(`${runtimeFolder}/${generationFiles.past}`)}*
number
serving=$generation

# Whether nginx took it over: it has begun other processes. What it could not read it leaves, and goes on as before.
processes() { cat "/proc/$child/task/$child/children" 2>/dev/null; }
taken() {
    [ -n "$1" ] || return 0
    for try in 1 2 3 4 5; do
        nap
        [ -z "$stopping" ] || return 0
        for process in $(processes); do
            case " $1 " in *" $process "*) ;; *) return 0 ;; esac
        done
    done
    return 1
}

child=
stop() {
    stopping=yes
    [ -z "$child" ] && exit 0
    # Streams that run may end.
    kill -QUIT "$child" 2>/dev/null
}
stopping=
trap stop TERM QUIT INT

${newer ? "newer\n" : ""}told=
until bootstrap && nginx -t -q -c "$configuration" 2> "$complaint"; do
    [ "$told" = "$(cat "$complaint")" ] || { told=$(cat "$complaint"); say "waits with the start: $told"; }
    nap
done

running=$(state)
known=$(cat "$complaint.names")
nginx -c "$configuration" -g 'daemon off;' &
child=$!
seen=$running
refused=
# Of the start: the same complaint is told again when it comes later.
told=
while kill -0 "$child" 2>/dev/null; do
    nap
    [ -z "$stopping" ] || { wait "$child"; exit $?; }
    now=$(state)
    [ -n "$now" ] || continue
    # Twice the same: nobody is in the middle of writing.
    if [ "$now" != "$seen" ]; then seen=$now; continue; fi
    [ "$now" != "$running" ] && [ "$now" != "$refused" ] || continue
    number
    if nginx -t -q -c "$configuration" 2> "$complaint"; then
        before=$(processes)
        kill -HUP "$child"
        past "$serving"
        serving=$generation
        running=$now
        refused=
        found=$(cat "$complaint.names")
        if [ "$found" = "$known" ]; then say "files changed: nginx reads them again"
        else say "gateways are at other addresses: nginx reads its files again"; fi
        known=$found
        told=
        taken "$before" || { running=; say "nginx has not taken it over: it is told again"; }
    else
        complained=$(cat "$complaint")
        [ "$complained" = "$told" ] || say "the change is broken, so the configuration of before stays: $complained"
        # A gateway that is not found now may be found soon.
        case $complained in *"host not found"*) told=$complained ;; *) refused=$now told= ;; esac
    fi
done
wait "$child"
`;
}

function newerFunction({ since: [major, minor, patch], file, lines }: NonNullable<WatchOptions["newer"]>): string {
  return `# What older ones do not know. "nginx/1.28.0" is what nginx and its kin say of themselves.
newer() {
    rm -f ${quote(file)}
    set -- $(nginx -v 2>&1 | sed -n 's/^nginx version: [^/]*\\/\\([0-9]*\\)\\.\\([0-9]*\\)\\.\\([0-9]*\\).*/\\1 \\2 \\3/p')
    [ $# -eq 3 ] && [ $(($1 * 1000000 + $2 * 1000 + $3)) -ge ${major * 1_000_000 + minor * 1000 + patch} ] || return 0
    printf '%s\\n' ${lines.map(quote).join(" ")} > ${quote(file)}
}

`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
