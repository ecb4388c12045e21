const { defineConfig } = require("@medusajs/framework/utils")

const cors = "http://127.0.0.1"
module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { connection: { ssl: false } },
    http: { storeCors: cors, adminCors: cors, authCors: cors, jwtSecret: "test", cookieSecret: "test" },
  },
  admin: { disable: true },
})
