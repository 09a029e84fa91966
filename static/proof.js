// A worker that does a proof of work (ALTCHA's protocol): finds the number that, behind the salt, has the hash.

async function hash(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

onmessage = async ({ data: { salt, challenge, maxnumber } }) => {
  for (let number = 0; number <= maxnumber; number++) {
    if (await hash(salt + number) === challenge) return postMessage(number);
  }
  postMessage(null);
};
