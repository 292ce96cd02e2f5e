#!/bin/sh
# Installs those of the named tools that are missing: postgres psycopg pgbouncer.
# By apt-get as root or with sudo, or by brew; does nothing where all are there.
set -eu

missing=''
want() { missing="$missing $*"; }
have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
	have psql || return 1
	have postgres && return 0
	for server in /usr/lib/postgresql/*/bin/postgres /opt/homebrew/opt/postgresql*/bin/postgres /usr/local/opt/postgresql*/bin/postgres; do
		[ -x "$server" ] && return 0
	done
	return 1
}

# Debian's packages are for the system's Python, which need not be the first in the path.
has_module() {
	for python in /usr/bin/python3 python3; do
		have "$python" && "$python" -c "import $1" 2>/dev/null && return 0
	done
	return 1
}

for tool in "$@"; do
	case $tool in
	postgres) have_postgres || want postgresql postgresql-client ;;
	psycopg)
		has_module psycopg2 || want python3-psycopg2
		has_module psycopg || want python3-psycopg
		;;
	pgbouncer) have pgbouncer || [ -x /usr/sbin/pgbouncer ] || want pgbouncer ;;
	*)
		echo "install.sh: $tool is none of postgres, psycopg, pgbouncer" >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0

if have apt-get; then
	run=''
	if [ "$(id -u)" -ne 0 ]; then
		have sudo || { echo "install.sh: as root, run: apt-get install$missing" >&2; exit 1; }
		run=sudo
	fi
	echo "installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	$run apt-get update -qq
	case $missing in
	*postgresql*)
		# The package would make and start a server of its own, which nobody asked for.
		$run apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
		if [ -d /etc/postgresql-common ]; then
			conf=/etc/postgresql-common/createcluster.d/sallyport-install.conf
			$run mkdir -p "${conf%/*}"
			echo 'create_main_cluster = false' | $run tee "$conf" >/dev/null
			trap '$run rm -f "$conf"' EXIT
		fi
		;;
	esac
	# shellcheck disable=SC2086 # a list of packages
	$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif have brew; then
	case $missing in *postgresql*) brew install --quiet postgresql@16 libpq && brew link --force --quiet libpq ;; esac
	case $missing in *pgbouncer*) brew install --quiet pgbouncer ;; esac
	case $missing in *psycopg*) echo 'install.sh: for the test of psycopg: python3 -m pip install psycopg2-binary psycopg' >&2 ;; esac
else
	echo "install.sh: neither apt-get nor brew is here; install by hand:$missing" >&2
	exit 1
fi
