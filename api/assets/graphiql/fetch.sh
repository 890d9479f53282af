#!/usr/bin/env bash
# Fetches GraphiQL and React from npm, at the versions that README.md names, and writes what this folder holds of them.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

take() { # package@version, file in it
    tar -xzf "$(npm pack --silent "$1")"
    cp "package/$2" .
    rm -r package
}
take react@18.3.1 umd/react.production.min.js
take react-dom@18.3.1 umd/react-dom.production.min.js
take graphiql@3.9.0 graphiql.min.js
take graphiql@3.9.0 graphiql.min.css

# Fonts are nine tenths of the style sheet and have licences of their own; every browser has a font. No source maps are served.
sed -i 's/@font-face *{[^}]*}//g' graphiql.min.css
sed -i '/^\/\/# sourceMappingURL=/d' graphiql.min.js
for file in *.js *.css; do
    gzip -9 --no-name --stdout "$file" > "$folder/$file.gz"
done
