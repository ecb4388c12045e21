// A real Vendure on loopback: PORT, and a database in memory. Prints "UP" when it answers.
const { bootstrap, dummyPaymentHandler } = require('@vendure/core');

bootstrap({
  apiOptions: { hostname: '127.0.0.1', port: Number(process.env.PORT), adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
  authOptions: {
    tokenMethod: ['bearer'],
    superadminCredentials: { identifier: 'superadmin', password: 'superadmin' },
    requireVerification: false,
    cookieOptions: { secret: 'none' },
  },
  dbConnectionOptions: { type: 'better-sqlite3', synchronize: true, logging: false, database: process.env.DATABASE || ':memory:' },
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
  plugins: [],
}).then(() => console.log('UP')).catch((error) => { console.error(error); process.exit(1); });
