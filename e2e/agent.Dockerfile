# The agents' image of the end-to-end run: opencode and what it calls. The user of the pods is 1000, `node` here.
FROM node:24-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates gh git ripgrep \
  && rm -rf /var/lib/apt/lists/* \
  && npm install --global opencode-ai@1.18.33
